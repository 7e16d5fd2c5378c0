import type { Messages } from "../i18n.ts";

export const log: Messages["log"] = {
  title: "日志",
  search: "在日志中搜索",
  matches: "第 {{current}} 条，共 {{count}} 条",
  noMatch: "没有匹配",
  previous: "上一处匹配",
  next: "下一处匹配",
  follow: "跟随",
  save: "保存",
  empty: "没有日志。",
  waiting: "暂无日志，产生后会实时显示在这里。",
};
