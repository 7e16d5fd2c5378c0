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
  verification_missed: "Verification missed",
  other: "Notice",
  text_node_online: "{{name}} is online again",
  text_node_offline: "{{name}}: no sign of life since {{since}}",
  text_token_used_twice:
    "Two machines use the token of {{name}} (last seen as {{hostname}}): enrol one of them anew",
  text_run_missed: "{{name}}: {{reason}}",
  text_copy_damaged: "{{name}}, record {{recordId}}: the copy in {{target}} is damaged: {{reason}}",
  text_restore_differs:
    "{{name}}, record {{recordId}}: the copy in {{target}} is sound, but what was restored from it differs: {{reason}}",
  text_verification_missed: "{{name}} was not verified: {{reason}}",
  removedTarget: "a removed storage",
};
