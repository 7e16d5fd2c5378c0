import type { Messages } from "../i18n.ts";

export const settings: Messages["settings"] = {
  lead: "本主控端的信息与配置。如需修改，请在部署处的 wrangler.toml 中更改。",
  master: "主控端",
  version: "版本",
  protocol: "代理协议版本",
  address: "地址",
  database: "数据库大小",
  api: "API 描述",
  limits: "限制",
  history: "日志、已结束的命令和审计记录保留",
  session: "会话有效期",
  starts: "每分钟最多启动的计划运行",
  doorbells: "保持代理连接的对象数",
  days: "{{count}} 天",
  hours: "{{count}} 小时",
  perMinute: "每分钟 {{count}} 个",
};
