/** Fields of forms, each with its label and a hint. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'

export function Field({
  label,
  hint,
  children,
}: {
  label: string
  hint?: ComponentChildren
  children: ComponentChildren
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is what it is given
    <label class="field">
      <span>{label}</span>
      {children}
      {hint !== undefined && <small>{hint}</small>}
    </label>
  )
}

/**
 * A search, as wide as what is looked for, in rem.
 * @param type is told each letter
 * @param change is told what stands there when it is left
 */
export function Search({
  label,
  placeholder = label,
  width = 14,
  value,
  type,
  change,
}: {
  label: string
  placeholder?: string
  width?: number
  value: string
  type?: (text: string) => void
  change?: (text: string) => void
}) {
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={placeholder}
      value={value}
      style={{ width: `${width}rem` }}
      onInput={(event) => type?.(event.currentTarget.value)}
      onChange={(event) => change?.(event.currentTarget.value)}
    />
  )
}

/** A whole number, as text: empty where nothing was said. */
export function WholeNumber({
  label,
  hint,
  min,
  max,
  required = false,
  value,
  change,
}: {
  label: string
  hint?: ComponentChildren
  min: number
  max?: number
  required?: boolean
  value: string
  change: (text: string) => void
}) {
  return (
    <Field label={label} hint={hint}>
      <input
        type="number"
        min={min}
        {...(max === undefined ? {} : { max })}
        step={1}
        required={required}
        value={value}
        onInput={(event) => change(event.currentTarget.value)}
      />
    </Field>
  )
}

export function Switch({
  label,
  isOn,
  disabled = false,
  change,
}: {
  label: ComponentChildren
  isOn: boolean
  disabled?: boolean
  change: (isOn: boolean) => void
}) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        checked={isOn}
        disabled={disabled}
        onChange={(event) => change(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  )
}

export function Chips<Value extends string>({
  label,
  options,
  chosen,
  choose,
}: {
  label: string
  options: readonly { value: Value; text: string }[]
  chosen: Value
  choose: (value: Value) => void
}) {
  return (
    <fieldset class="chips">
      <legend class="sr">{label}</legend>
      {options.map(({ value, text }) => (
        <button
          key={value}
          type="button"
          class="chip"
          aria-pressed={value === chosen}
          onClick={() => choose(value)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  )
}

/** A password that somebody chooses: as long as the server wants it, and kept by the browser's own store. */
export function NewPassword({
  label,
  hint,
  required = false,
  value,
  change,
}: {
  label: string
  hint: ComponentChildren
  required?: boolean
  value: string
  change: (password: string) => void
}) {
  return (
    <Field label={label} hint={hint}>
      <input
        type="password"
        autoComplete="new-password"
        required={required}
        minLength={10}
        value={value}
        onInput={(event) => change(event.currentTarget.value)}
      />
    </Field>
  )
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false), // a browser that does not allow it: the text stands there to be selected
    )
  }
  return (
    <button type="button" onClick={copy}>
      {isCopied ? 'Copied' : `Copy ${what}`}
    </button>
  )
}
