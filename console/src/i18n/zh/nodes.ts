import type { Messages } from "../i18n.ts";

export const nodes: Messages["nodes"] = {
  title: "节点",
  lead: "需要备份的服务器。每台服务器运行一个代理，由代理主动连接本主控端。",
  add: "添加节点",
  emptyTitle: "还没有服务器",
  emptyText: "添加一台服务器：您会得到一条命令，在服务器上执行后，它会自动出现在这里。",
  host: "主机",
  system: "系统",
  version: "代理版本",
  labels: "标签",
  lastSeen: "最近在线",
  status: "状态",
  online: "在线",
  offlineStatus: "离线",
  pending: "尚未连接",
  paused: "已暂停",
};
