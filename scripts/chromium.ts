import { existsSync } from "node:fs";
import path from "node:path";
import { type Browser, chromium } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The Chromium of this machine, without a window. It speaks to nobody of its own accord. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: programOnPath(),
    args: [
      // In containers there is neither a namespace for its sandbox nor a graphics card.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-sync",
      "--disable-component-update",
      "--disable-background-networking",
      "--no-first-run",
    ],
  });
}

function programOnPath(): string {
  const folders = (process.env.PATH ?? "").split(path.delimiter);
  const found = names.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(existsSync);
  if (!found) throw new Error(`no Chromium on the PATH (looked for ${names.join(", ")})`);
  return found;
}
