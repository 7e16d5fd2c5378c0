import { agentApi } from "../../protocol/agent-api.ts";
import { retrying } from "../storage/retrying.ts";
import type { Storage } from "../storage/storage.ts";
import { vault } from "../storage/vault.ts";
import { downloadClient, uploadClient, type VaultContext, vaultRetryPolicy } from "../vault-client.ts";

/** A target of a backup that is reached through the master. */
export const vaultTarget = (context: VaultContext, recordId: number, targetId: number): Storage =>
  retrying(vault(uploadClient(context, recordId, targetId), { retryPolicy: vaultRetryPolicy }));

/** The artifact that a differential backup is compared with, in such a target. */
export const vaultBase = (context: VaultContext, recordId: number, sizeBytes: number): Storage =>
  retrying(vault(downloadClient(context, { endpoint: agentApi.baseArtifact, id: recordId }, sizeBytes)));
