declare module "virtual:endpoints" {
  const endpoints: Record<string, { method: string; path: string }>;
  export default endpoints;
}
/** Adds its language to cronstrue when it is loaded. */
declare module "cronstrue/locales/zh_CN";
