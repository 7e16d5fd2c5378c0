export const log = {
  title: "Log",
  search: "Search in the log",
  matches: "{{current}} of {{count}}",
  noMatch: "no match",
  previous: "Previous match",
  next: "Next match",
  follow: "Follow",
  save: "Save",
  empty: "Nothing was logged.",
  waiting: "Nothing has been logged yet. Lines appear here as they come.",
};
