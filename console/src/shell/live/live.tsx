import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { openNews } from "../../api/news.ts";
import { makeRenewal } from "./renew.ts";
import { makeToasts } from "./toasts.tsx";

/** Keeps what is shown as the master has it, and tells of runs that have ended elsewhere. Shows nothing itself. */
export function Live() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  useEffect(() => {
    const renew = makeRenewal(client);
    const toast = makeToasts(t, (path) => void navigate(path));
    const news = openNews({
      onNews: ({ changed, ended }) => {
        renew(changed);
        toast(ended);
      },
      onResumed: () => void client.invalidateQueries(),
      onLost: () => void client.invalidateQueries({ queryKey: ["/api/auth"] }),
    });
    return news.close;
  }, [client, t, navigate]);
  return null;
}
