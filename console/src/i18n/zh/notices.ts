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
  other: "通知",
};
