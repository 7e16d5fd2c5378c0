export const schedule = {
  rhythm: "How often",
  hourly: "Every hour",
  daily: "Every day",
  weekly: "On days of the week",
  monthly: "Every month",
  custom: "Cron expression",
  minute: "At minute",
  time: "At",
  dayOfMonth: "On day",
  weekdays: "Days of the week",
  expression: "Expression",
  expressionHint:
    "Five fields: minute, hour, day of the month, month, day of the week. For example 0 */6 * * 1-5.",
  nextRuns: "The next times ({{timeZone}})",
  yourTime: "({{time}} your time)",
};
