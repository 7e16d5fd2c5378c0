import type { Messages } from "../i18n.ts";

export const schedule: Messages["schedule"] = {
  rhythm: "频率",
  hourly: "每小时",
  daily: "每天",
  weekly: "每周的某几天",
  monthly: "每月",
  custom: "Cron 表达式",
  minute: "第几分钟",
  time: "时间",
  dayOfMonth: "几号",
  weekdays: "星期",
  expression: "表达式",
  expressionHint: "五个字段：分、时、日、月、星期。例如 0 */6 * * 1-5。",
  nextRuns: "接下来的时间（{{timeZone}}）",
  yourTime: "（您的时间 {{time}}）",
};
