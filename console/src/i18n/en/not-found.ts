export const notFound = {
  title: "There is no such page",
  back: "To the dashboard",
};
