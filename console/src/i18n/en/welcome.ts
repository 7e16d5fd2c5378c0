export const welcome = {
  setupTitle: "Welcome to BackupX Edge",
  setupLead: "This master is new. Make its first administrator.",
  signInTitle: "Sign in",
  username: "User name",
  password: "Password",
  passwordHint: "At least 10 characters. It cannot be mailed back to you: keep it.",
  create: "Make the administrator",
  signIn: "Sign in",
};
