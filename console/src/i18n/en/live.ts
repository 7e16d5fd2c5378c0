export const live = {
  backupDone: "{{name}}: backed up",
  backupFailed: "{{name}}: the backup failed",
  restoreDone: "{{name}}: restored",
  restoreFailed: "{{name}}: the restore failed",
  verificationDone: "{{name}}: verified",
  verificationIncomplete: "{{name}}: not everything could be verified",
  verificationFailed: "{{name}}: the verification failed",
  manyDone: "{{count}} runs ended well",
  manyFailed: "{{count}} runs failed",
  look: "Look at it",
};
