import type { Messages } from "../i18n.ts";

export const live: Messages["live"] = {
  backupDone: "{{name}}：备份完成",
  backupFailed: "{{name}}：备份失败",
  restoreDone: "{{name}}：恢复完成",
  restoreFailed: "{{name}}：恢复失败",
  verificationDone: "{{name}}：校验通过",
  verificationIncomplete: "{{name}}：未能全部校验",
  verificationFailed: "{{name}}：校验失败",
  manyDone: "{{count}} 次运行已成功结束",
  manyFailed: "{{count}} 次运行失败",
  look: "查看",
};
