import type { Messages } from "../i18n.ts";

export const states: Messages["states"] = {
  queued: "排队中",
  pending: "等待中",
  running: "运行中",
  dispatched: "执行中",
  copying: "复制中",
  success: "成功",
  succeeded: "已完成",
  incomplete: "未完成",
  missed: "已错过",
  failed: "失败",
  timeout: "超时",
  damaged: "已损坏",
  delete_failed: "删除失败",
  deleting: "正在删除",
  cancelled: "已取消",
};
