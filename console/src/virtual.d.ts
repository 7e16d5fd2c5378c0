declare module "virtual:endpoints" {
  const endpoints: Record<string, { method: string; path: string }>;
  export default endpoints;
}
