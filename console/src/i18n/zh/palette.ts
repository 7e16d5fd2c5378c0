import type { Messages } from "../i18n.ts";

export const palette: Messages["palette"] = {
  pages: "页面",
  actions: "操作",
  nodes: "节点",
  tasks: "任务",
  targets: "存储",
  records: "备份",
  addNode: "添加服务器",
  addTask: "创建备份任务",
  addTarget: "添加存储目标",
  dark: "使用深色外观",
  light: "使用浅色外观",
  record: "备份 #{{id}}",
  searching: "正在搜索……",
  hint: "按名称中的任意部分查找（较早的需输入开头）；按编号查找备份，例如 #42",
};
