export type Level = "info" | "warn" | "error";
export type Fields = Record<string, string | number | boolean | null | undefined>;
export type LogFormat = "text" | "json";

/** The agent's own log. Whatever was named as a secret never reaches the output, wherever it turns up. */
export type Log = {
  info(msg: string, fields?: Fields): void;
  warn(msg: string, fields?: Fields): void;
  error(msg: string, fields?: Fields): void;
  hide(secret: string): void;
};

type LogOptions = { format: LogFormat; write: (line: string) => void };

/** People read lines, programs read JSON: `write` gets one whole line at a time. */
export function makeLog({ format, write }: LogOptions): Log {
  const secrets = new Set<string>();
  const emit = (level: Level, msg: string, fields: Fields = {}) => {
    const time = new Date().toISOString();
    const line =
      format === "json" ? JSON.stringify({ level, time, msg, ...fields }) : plain(level, time, msg, fields);
    write(`${redact(line, secrets)}\n`);
  };
  return {
    info: (msg, fields) => emit("info", msg, fields),
    warn: (msg, fields) => emit("warn", msg, fields),
    error: (msg, fields) => emit("error", msg, fields),
    hide: (secret) => void (secret.length >= 6 && secrets.add(secret)),
  };
}

const marks = { info: " ", warn: "!", error: "x" } as const;

function plain(level: Level, time: string, msg: string, fields: Fields): string {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const tail = known.map(([key, value]) => ` ${key}=${quoted(value)}`).join("");
  return `${time.slice(0, 19).replace("T", " ")} ${marks[level]} ${msg}${tail}`.replace(/\p{Cc}/gu, "?");
}

const quoted = (value: unknown): string =>
  /^[\w./:+-]*$/.test(`${value}`) ? `${value}` : JSON.stringify(value);

function redact(line: string, secrets: Set<string>): string {
  let clean = line;
  for (const secret of secrets) clean = clean.replaceAll(secret, "[hidden]");
  return clean;
}
