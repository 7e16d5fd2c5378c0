import type { Messages } from "../i18n.ts";

export const nav: Messages["nav"] = {
  dashboard: "总览",
  nodes: "节点",
  tasks: "任务",
  records: "备份记录",
  restores: "恢复",
  targets: "存储",
  commands: "命令",
  audit: "审计",
  users: "用户与角色",
  profile: "个人资料",
  settings: "设置",
  signOut: "退出登录",
  search: "搜索",
  searchHint: "节点、任务、记录、页面……",
  nothingFound: "没有找到",
  skip: "跳到正文",
  menu: "菜单",
  darkMode: "深色",
  lightMode: "浅色",
  appearance: "切换深色与浅色",
};
