/** What makes a machine this node, in the forms that people install things in. */
export type Joining = { master: string; name: string; code: string };

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const packageOf = (master: string) => quote(`${master}/backupx-agent.tgz`);

/** In a terminal, with nothing installed but Node. */
export const npxCommand = ({ master, code }: Joining): string =>
  `BACKUPX_AGENT_CODE=${quote(code)} npx -y ${packageOf(master)} enroll --master ${quote(master)} && npx -y ${packageOf(master)} run`;

/** The code is of no more use once the token lies in the volume, so a restart goes on with that. */
export function containerCommand({ master, name, code }: Joining): string {
  const enroll = `npx -y ${packageOf(master)} enroll --master ${quote(master)}`;
  const run = `exec npx -y ${packageOf(master)} run`;
  return [
    `docker run -d --name backupx-agent --restart unless-stopped --hostname ${hostnameOf(name)}`,
    `-e BACKUPX_AGENT_CODE=${quote(code)}`,
    "-v backupx-agent-config:/etc/backupx-agent -v backupx-agent-state:/var/lib/backupx-agent",
    "-v /:/host:ro",
    `node:24-slim sh -c "[ -s /etc/backupx-agent/token ] || ${enroll} && ${run}"`,
  ].join(" \\\n  ");
}

export const yamlFile = (master: string, token: string): string =>
  `# /etc/backupx-agent/agent.yaml, readable by its owner alone\nmaster: ${master}\ntoken: ${token}`;

export const yamlRun = (master: string): string =>
  `npx -y ${packageOf(master)} run --config /etc/backupx-agent/agent.yaml`;

export const environment = (master: string, token: string): string =>
  `BACKUPX_AGENT_MASTER=${quote(master)}\nBACKUPX_AGENT_TOKEN=${quote(token)}`;

const hostnameOf = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63) || "node";
