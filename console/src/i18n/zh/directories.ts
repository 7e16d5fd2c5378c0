import type { Messages } from "../i18n.ts";

export const directories: Messages["directories"] = {
  up: "上一级目录",
  refresh: "重新读取",
  filter: "输入文字筛选，或输入路径后按回车",
  go: "前往",
  where: "当前位置",
  contents: "{{path}} 中的内容",
  choose: "选择 {{path}}",
  chooseHere: "选择当前目录",
  hereChosen: "已选择当前目录",
  hidden: "隐藏文件",
  empty: "此目录为空。",
  nothingMatches: "没有匹配的内容，隐藏文件可能未显示。",
  count_one: "{{count, number}} 项",
  count_other: "{{count, number}} 项",
  truncated: "内容过多，未全部列出；可输入路径直接进入",
};
