import i18next, { type TFunction } from "i18next";
import { initReactI18next } from "react-i18next";
import { en } from "./en/en.ts";

export const languages = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof languages;
export type Messages = { [Page in keyof typeof en]: { [Key in keyof (typeof en)[Page]]: string } };
export type T = TFunction;

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
    strictKeyChecks: true;
  }
}

const remembered = "backupx.language";

/** The language that was chosen here before, or else the first of the browser's that there is. */
function preferredLanguage(): Language {
  const wanted = [localStorage.getItem(remembered) ?? "", ...navigator.languages];
  const known = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in languages);
  return (known as Language | undefined) ?? "en";
}

export async function startI18n(): Promise<void> {
  await i18next.use(initReactI18next).init({
    lng: "en",
    fallbackLng: "en",
    resources: { en: { translation: en } },
    // React escapes what it shows.
    interpolation: { escapeValue: false },
  });
  await show(preferredLanguage());
}

export async function chooseLanguage(language: Language): Promise<void> {
  localStorage.setItem(remembered, language);
  await show(language);
}

/** Chinese is loaded only by who reads it. */
async function show(language: Language): Promise<void> {
  if (language === "zh" && !i18next.hasResourceBundle("zh", "translation")) {
    const { zh } = await import("./zh/zh.ts");
    i18next.addResourceBundle("zh", "translation", zh);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : language;
}
