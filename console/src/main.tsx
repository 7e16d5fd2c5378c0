import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "./console.css";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { startI18n } from "./i18n/i18n.ts";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
await startI18n();
createRoot(root).render(<App />);
