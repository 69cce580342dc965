/** Markup that is safe to send. Only `html` makes it. */
export interface Html {
  readonly markup: string
}

/** A template whose values are escaped, unless they are `Html` themselves or arrays of it. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Html | readonly Html[])[]
): Html {
  const markup = parts.reduce(
    (text, part, index) => text + part + (index < values.length ? render(values[index] as string) : ''),
    '',
  )
  return { markup }
}

function render(value: string | number | Html | readonly Html[]): string {
  if (typeof value === 'object')
    return 'markup' in value ? value.markup : value.map((one) => one.markup).join('')
  return String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
