import { NumberInput, Select, Switch, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { useTranslation } from "react-i18next";
import { SealedInput } from "../../components/sealed-input.tsx";
import type { Values } from "./form.ts";
import type { Field, SecretField } from "./kinds.ts";
import { SealedText } from "./sealed-text.tsx";

type Form = UseFormReturnType<Values>;

/** One setting of a target, by its declaration. */
export function SettingField({ name, field, form }: { name: string; field: Field; form: Form }) {
  const { t } = useTranslation();
  const path = `config.${name}`;
  const common = {
    label: t(field.label),
    description: field.hint ? t(field.hint) : undefined,
  };
  if (field.input === "switch")
    return <Switch {...common} {...form.getInputProps(path, { type: "checkbox" })} />;
  const texts = {
    ...common,
    required: field.required,
    placeholder: field.placeholder,
    ...form.getInputProps(path),
  };
  if (field.input === "number")
    return <NumberInput {...texts} maw={160} min={1} max={field.max} allowDecimal={false} hideControls />;
  if (field.input === "choice") {
    const data = Object.entries(field.options).map(([value, word]) => ({ value, label: t(word) }));
    return <Select {...texts} data={data} allowDeselect={false} />;
  }
  return <TextInput {...texts} spellCheck={false} autoCapitalize="none" autoComplete="off" />;
}

type SecretProps = { name: string; field: SecretField; form: Form; isSet: boolean };

/** One secret of a target: set or not, kept, replaced or removed. */
export function SecretSetting({ name, field, form, isSet }: SecretProps) {
  const { t } = useTranslation();
  const path = `secrets.${name}`;
  const props = {
    label: t(field.label),
    hint: field.hint ? t(field.hint) : undefined,
    required: field.required,
    isSet,
    value: form.values.secrets[name] ?? { value: "", remove: false },
    onChange: (value: Values["secrets"][string]) => form.setFieldValue(path, value),
    error: form.errors[path],
  };
  return field.input === "line" ? <SealedInput {...props} /> : <SealedText {...props} />;
}
