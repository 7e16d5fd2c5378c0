import type { Messages } from "../i18n.ts";

export const notFound: Messages["notFound"] = {
  title: "没有这个页面",
  back: "返回总览",
};
