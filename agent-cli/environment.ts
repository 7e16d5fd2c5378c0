/** Another program needs nothing of what this agent was given for itself. */
export const environmentOf = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("BACKUPX_")));
