export const notices = {
  title: "Notifications",
  open: "Notifications",
  unread: "Notifications, {{count}} new",
  none: "Nothing has happened that you should know.",
  node_online: "Node is back",
  node_offline: "Node went offline",
  token_used_twice: "Token used by two machines",
  run_missed: "Run missed",
  copy_damaged: "Copy damaged",
  restore_differs: "Restore differs",
  other: "Notice",
};
