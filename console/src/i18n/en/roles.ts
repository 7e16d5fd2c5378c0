export const roles = {
  title: "What each role may do",
  role: "Role",
  viewer: "Viewer",
  operator: "Operator",
  admin: "Administrator",
  viewerMay: "Sees servers, tasks, records and storage. Changes nothing, and cannot look into backups.",
  operatorMay:
    "Everything a viewer may; makes and changes tasks, runs, verifies, restores, locks and deletes backups, and browses servers.",
  adminMay:
    "Everything an operator may; manages servers, storage, users and API keys, and reads the audit log.",
};
