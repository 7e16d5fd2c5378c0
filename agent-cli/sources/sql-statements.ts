/**
 * The statements of a script of PostgreSQL's own programs, without comments and without what only psql understands.
 * It knows their strings and quoted names, which is all that such scripts about roles and databases use.
 */
export function sqlStatements(script: string): string[] {
  const statements: string[] = [];
  let statement = "";
  for (const [token] of script.matchAll(tokens)) {
    if (token.startsWith("--") || (token.startsWith("\\") && statement.trim() === "")) continue;
    if (token !== ";") {
      statement += token;
      continue;
    }
    statements.push(statement.trim());
    statement = "";
  }
  return statements;
}

const tokens = /--[^\n]*|\\[^\n]*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^;'"\\-]|-/gs;
