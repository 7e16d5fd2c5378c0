import type { Messages } from "../i18n.ts";

export const welcome: Messages["welcome"] = {
  headline: "所有服务器的备份集中一处，并证明它们真的能够恢复。",
  pointAgents: "代理主动连接主控端：无需开放端口，无需 VPN，也无需维护服务器。",
  pointVerified: "备份会被校验、试恢复并统计；缺失或逾期的备份最先提示。",
  pointEncrypted: "数据在离开您的服务器之前就已加密，密钥由您自己保管。",
  setupTitle: "欢迎使用",
  setupLead: "这是一个全新的主控端，请创建第一个管理员。",
  signInTitle: "登录",
  signInLead: "进入本主控端的控制台。",
  username: "用户名",
  usernameHint: "以字母或数字开头，可包含 . _ @ -",
  password: "密码",
  keepPassword: "密码无法通过邮件找回，请妥善保管。",
  create: "创建管理员",
  signIn: "登录",
  wrong: "用户名或密码错误。",
  slowDown: "密码错误次数过多，请在 {{seconds}} 秒后重试。",
  endedTitle: "会话已结束",
  endedText: "请重新登录以继续。您输入的内容仍然保留。",
  somebodyElse: "换用其他账户",
  version: "版本 {{version}}",
};
