import type { Messages } from "../i18n.ts";

export const account: Messages["account"] = {
  look: "外观",
  appearance: "颜色",
  auto: "跟随系统",
  zone: "时区",
  password: "密码",
  passwordLead: "修改后，您的其他会话都会结束。",
  current: "当前密码",
  next: "新密码",
  change: "修改密码",
  changed: "密码已修改。",
  sessions: "已登录的会话",
  browser: "浏览器",
  unknownBrowser: "未知",
  here: "当前",
  address: "地址",
  since: "登录时间",
  until: "到期",
  endOthers: "退出其他所有会话",
  endOthersText: "除当前会话外，您的其他会话将立即结束。",
};
