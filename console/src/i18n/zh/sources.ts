import type { Messages } from "../i18n.ts";

export const sources: Messages["sources"] = {
  file: "文件",
  sqlite: "SQLite",
  postgresql: "PostgreSQL",
  mysql: "MySQL 或 MariaDB",
  mongodb: "MongoDB",
  saphana: "SAP HANA",
  command: "命令",
};
