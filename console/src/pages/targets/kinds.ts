import {
  type Icon,
  IconBrandAzure,
  IconBrandGoogle,
  IconBucket,
  IconCloudUp,
  IconFolder,
  IconRefresh,
  IconServer2,
  IconShieldLock,
  IconTransfer,
} from "@tabler/icons-react";
import type { z } from "zod";
import type { targetSettings } from "../../../../protocol/objects.ts";
import type { TargetType } from "../../../../protocol/states.ts";
import type { en } from "../../i18n/en/en.ts";

export type Word = `targetKinds.${keyof (typeof en)["targetKinds"]}`;
type Settings = typeof targetSettings;
type ConfigOf<K extends TargetType> = z.input<Settings[K]["config"]>;
type SecretsOf<K extends TargetType> = z.input<Settings[K]["secrets"]>;

type Common<Value, Required> = {
  label: Word;
  hint?: Word;
  placeholder?: string;
  required: Required;
  /** What the form begins with, and the master takes where nothing is said. */
  initial?: Value;
  /** Needed by few; folded away. */
  advanced?: true;
};
type InputFor<Value> = [Value] extends [boolean]
  ? { input: "switch" }
  : [Value] extends [number]
    ? { input: "number"; max: number }
    : string extends Value
      ? { input: "text" }
      : { input: "choice"; options: Record<Value & string, Word> };
type IsRequired<Value> = undefined extends Value ? false : true;
type FieldFor<Value> = Common<NonNullable<Value>, IsRequired<Value>> & InputFor<NonNullable<Value>>;
type SecretFor<Value> = {
  label: Word;
  hint?: Word;
  required: IsRequired<Value>;
  advanced?: true;
  /** A line; a file's text; or one `key = value` a line. */
  input: NonNullable<Value> extends string ? "line" | "text" : "settings";
};
type Kind<K extends TargetType> = {
  icon: Icon;
  label: Word;
  lead: Word;
  /** Where objects are, in a line, from the settings. */
  place(config: ConfigOf<K>): string;
  config: { [Name in keyof ConfigOf<K>]-?: FieldFor<ConfigOf<K>[Name]> };
  secrets: { [Name in keyof SecretsOf<K>]-?: SecretFor<SecretsOf<K>[Name]> };
};

/** A setting as the form draws it, whatever its kind. */
export type Field = {
  label: Word;
  hint?: Word;
  placeholder?: string;
  required: boolean;
  initial?: string | number | boolean;
  advanced?: true;
} & (
  | { input: "switch" | "text" }
  | { input: "number"; max: number }
  | { input: "choice"; options: Record<string, Word> }
);
export type SecretField = {
  label: Word;
  hint?: Word;
  required: boolean;
  advanced?: true;
  input: "line" | "text" | "settings";
};
type AnyKind = {
  icon: Icon;
  label: Word;
  lead: Word;
  place(config: Record<string, unknown>): string;
  config: Record<string, Field>;
  secrets: Record<string, SecretField>;
};

const prefix = {
  input: "text",
  label: "targetKinds.prefix",
  hint: "targetKinds.prefixHint",
  placeholder: "backups/",
  required: false,
} as const;
const userName = { input: "text", label: "targetKinds.username", required: true } as const;
const password = { input: "line", label: "targetKinds.password", required: false } as const;
const host = {
  input: "text",
  label: "targetKinds.host",
  placeholder: "backup.example.com",
  required: true,
} as const;
const serverPath = {
  input: "text",
  label: "targetKinds.path",
  hint: "targetKinds.serverPathHint",
  placeholder: "backups",
  required: true,
} as const;
const below = (...parts: (string | undefined)[]) => parts.filter(Boolean).join("/");

/**
 * Every kind of storage, and how each of its settings is asked for. Typed by the contract's own schemas: a kind or a
 * setting that the contract has and this lacks does not compile.
 */
const declared: { [K in TargetType]: Kind<K> } = {
  vault: {
    icon: IconShieldLock,
    label: "targetKinds.vault",
    lead: "targetKinds.vaultLead",
    place: () => "R2",
    config: {},
    secrets: {},
  },
  s3: {
    icon: IconBucket,
    label: "targetKinds.s3",
    lead: "targetKinds.s3Lead",
    place: ({ bucket, prefix }) => below(bucket, prefix),
    config: {
      endpoint: {
        input: "text",
        label: "targetKinds.endpoint",
        hint: "targetKinds.s3EndpointHint",
        placeholder: "https://s3.eu-central-1.amazonaws.com",
        required: true,
      },
      region: {
        input: "text",
        label: "targetKinds.region",
        hint: "targetKinds.regionHint",
        initial: "auto",
        required: false,
      },
      bucket: { input: "text", label: "targetKinds.bucket", required: true },
      prefix,
      pathStyle: {
        input: "switch",
        label: "targetKinds.pathStyle",
        hint: "targetKinds.pathStyleHint",
        initial: true,
        required: false,
        advanced: true,
      },
    },
    secrets: {
      accessKeyId: { input: "line", label: "targetKinds.accessKeyId", required: true },
      secretAccessKey: { input: "line", label: "targetKinds.secretAccessKey", required: true },
      sessionToken: {
        input: "line",
        label: "targetKinds.sessionToken",
        hint: "targetKinds.sessionTokenHint",
        required: false,
        advanced: true,
      },
    },
  },
  local_disk: {
    icon: IconFolder,
    label: "targetKinds.localDisk",
    lead: "targetKinds.localDiskLead",
    place: ({ path }) => path,
    config: {
      path: {
        input: "text",
        label: "targetKinds.path",
        hint: "targetKinds.localPathHint",
        placeholder: "/mnt/nas/backups",
        required: true,
      },
    },
    secrets: {},
  },
  sftp: {
    icon: IconTransfer,
    label: "targetKinds.sftp",
    lead: "targetKinds.sftpLead",
    place: ({ username, host, path }) => `${username}@${host}:${path}`,
    config: {
      host,
      port: { input: "number", max: 65_535, label: "targetKinds.port", initial: 22, required: false },
      username: userName,
      path: serverPath,
      hostKey: {
        input: "text",
        label: "targetKinds.hostKey",
        hint: "targetKinds.hostKeyHint",
        placeholder: "SHA256:…",
        required: false,
      },
      knownHostsFile: {
        input: "text",
        label: "targetKinds.knownHostsFile",
        hint: "targetKinds.knownHostsHint",
        placeholder: "/root/.ssh/known_hosts",
        required: false,
        advanced: true,
      },
    },
    secrets: {
      password: { ...password, hint: "targetKinds.sftpSecretHint" },
      privateKey: {
        input: "text",
        label: "targetKinds.privateKey",
        hint: "targetKinds.privateKeyHint",
        required: false,
      },
      passphrase: { input: "line", label: "targetKinds.passphrase", required: false },
    },
  },
  webdav: {
    icon: IconCloudUp,
    label: "targetKinds.webdav",
    lead: "targetKinds.webdavLead",
    place: ({ url }) => url,
    config: {
      url: {
        input: "text",
        label: "targetKinds.url",
        hint: "targetKinds.webdavUrlHint",
        placeholder: "https://cloud.example.com/remote.php/dav/files/backup/",
        required: true,
      },
      username: { ...userName, required: false },
    },
    secrets: { password },
  },
  ftp: {
    icon: IconServer2,
    label: "targetKinds.ftp",
    lead: "targetKinds.ftpLead",
    place: ({ username, host, path }) => `${username}@${host}:${path}`,
    config: {
      host,
      tls: {
        input: "choice",
        label: "targetKinds.tls",
        initial: "explicit",
        options: {
          explicit: "targetKinds.tlsExplicit",
          implicit: "targetKinds.tlsImplicit",
          none: "targetKinds.tlsNone",
        },
        required: false,
      },
      port: {
        input: "number",
        max: 65_535,
        label: "targetKinds.port",
        hint: "targetKinds.ftpPortHint",
        required: false,
        advanced: true,
      },
      username: userName,
      path: serverPath,
    },
    secrets: { password },
  },
  azure_blob: {
    icon: IconBrandAzure,
    label: "targetKinds.azure",
    lead: "targetKinds.azureLead",
    place: ({ account, container, prefix }) => below(account, container, prefix),
    config: {
      account: { input: "text", label: "targetKinds.account", required: true },
      container: { input: "text", label: "targetKinds.container", required: true },
      prefix,
      endpoint: {
        input: "text",
        label: "targetKinds.endpoint",
        hint: "targetKinds.azureEndpointHint",
        placeholder: "https://account.blob.core.windows.net",
        required: false,
        advanced: true,
      },
    },
    secrets: {
      accountKey: {
        input: "line",
        label: "targetKinds.accountKey",
        hint: "targetKinds.azureSecretHint",
        required: false,
      },
      sasToken: { input: "line", label: "targetKinds.sasToken", required: false },
    },
  },
  gcs: {
    icon: IconBrandGoogle,
    label: "targetKinds.gcs",
    lead: "targetKinds.gcsLead",
    place: ({ bucket, prefix }) => below(bucket, prefix),
    config: {
      bucket: { input: "text", label: "targetKinds.bucket", required: true },
      prefix,
      endpoint: {
        input: "text",
        label: "targetKinds.endpoint",
        hint: "targetKinds.gcsEndpointHint",
        required: false,
        advanced: true,
      },
    },
    secrets: {
      serviceAccountKey: {
        input: "text",
        label: "targetKinds.serviceAccountKey",
        hint: "targetKinds.serviceAccountHint",
        required: true,
      },
    },
  },
  rclone: {
    icon: IconRefresh,
    label: "targetKinds.rclone",
    lead: "targetKinds.rcloneLead",
    place: ({ remote }) => remote,
    config: {
      remote: {
        input: "text",
        label: "targetKinds.remote",
        hint: "targetKinds.remoteHint",
        placeholder: "dropbox:backups",
        required: true,
      },
      configFile: {
        input: "text",
        label: "targetKinds.configFile",
        hint: "targetKinds.configFileHint",
        placeholder: "/root/.config/rclone/rclone.conf",
        required: false,
        advanced: true,
      },
    },
    secrets: {
      settings: {
        input: "settings",
        label: "targetKinds.rcloneSettings",
        hint: "targetKinds.rcloneSettingsHint",
        required: false,
        advanced: true,
      },
    },
  },
};

/** The same for code that does not care which kind it is. */
export const kinds = declared as unknown as Record<TargetType, AnyKind>;
