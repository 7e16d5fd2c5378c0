import type { Messages } from "../i18n.ts";

export const notices: Messages["notices"] = {
  title: "通知",
  open: "通知",
  unread: "通知，{{count}} 条新消息",
  none: "没有需要您知道的事情。",
  node_online: "节点已恢复",
  node_offline: "节点已离线",
  token_used_twice: "两台机器使用同一令牌",
  run_missed: "错过运行",
  copy_damaged: "副本损坏",
  restore_differs: "恢复结果不一致",
  verification_missed: "错过校验",
  other: "通知",
  text_node_online: "{{name}} 已重新上线",
  text_node_offline: "{{name}}：自 {{since}} 起没有任何响应",
  text_token_used_twice: "两台机器正在使用 {{name}} 的令牌（最近一次来自 {{hostname}}）：请重新注册其中一台",
  text_run_missed: "{{name}}：{{reason}}",
  text_copy_damaged: "{{name}}，记录 {{recordId}}：{{target}} 中的副本已损坏：{{reason}}",
  text_restore_differs: "{{name}}，记录 {{recordId}}：{{target}} 中的副本完好，但恢复结果不一致：{{reason}}",
  text_verification_missed: "{{name}} 未能校验：{{reason}}",
  removedTarget: "已移除的存储",
};
