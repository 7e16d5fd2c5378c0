export const sources = {
  file: "Files",
  sqlite: "SQLite",
  postgresql: "PostgreSQL",
  mysql: "MySQL or MariaDB",
  mongodb: "MongoDB",
  saphana: "SAP HANA",
  command: "Command",
};
