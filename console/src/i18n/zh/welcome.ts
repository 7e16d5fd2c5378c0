import type { Messages } from "../i18n.ts";

export const welcome: Messages["welcome"] = {
  setupTitle: "欢迎使用 BackupX Edge",
  setupLead: "这是一个全新的主控端，请创建第一个管理员。",
  signInTitle: "登录",
  username: "用户名",
  password: "密码",
  passwordHint: "至少 10 个字符。密码无法通过邮件找回，请妥善保管。",
  create: "创建管理员",
  signIn: "登录",
};
