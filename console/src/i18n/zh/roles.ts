import type { Messages } from "../i18n.ts";

export const roles: Messages["roles"] = {
  title: "各角色的权限",
  role: "角色",
  viewer: "只读",
  operator: "操作员",
  admin: "管理员",
  viewerMay: "查看服务器、任务、记录和存储。不能修改任何内容，也不能查看备份中的文件。",
  operatorMay: "拥有只读权限，并可以创建和修改任务，运行、校验、恢复、锁定和删除备份，以及浏览服务器目录。",
  adminMay: "拥有操作员权限，并可以管理服务器、存储、用户和 API 密钥，并查看审计日志。",
};
