/** What may stand inside an element; text is always text, never markup. */
export type Child = Node | string | number | false | undefined | null

type Props = Readonly<Record<string, unknown>>

/** Makes an element. Props are properties of it; those with a dash, and `role`, are attributes. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.includes('-') || name === 'role')
      element.setAttribute(name, value === true ? 'true' : String(value))
    else Object.assign(element, { [name]: value })
  }
  element.append(
    ...children.filter(isThere).map((child) => (typeof child === 'number' ? String(child) : child)),
  )
  return element
}

/** A button. While its work runs it cannot be pressed again. */
export function button(
  text: string,
  work: () => unknown,
  props: { readonly className?: string; readonly [name: string]: unknown } = {},
): HTMLButtonElement {
  const element = el('button', { type: 'button', ...props }, text)
  element.addEventListener('click', async () => {
    if (element.ariaBusy === 'true') return
    element.ariaBusy = 'true'
    try {
      await work()
    } finally {
      element.ariaBusy = null
    }
  })
  return element
}

/** Tells those who listen to the page rather than look at it. */
export function announce(text: string): void {
  const news = document.querySelector('#news')
  if (news && news.textContent !== text) news.textContent = text
}

/** The heading of a step: where reading begins when the step opens. */
export function heading(text: string): HTMLHeadingElement {
  return el('h1', { tabIndex: -1 }, text)
}

/** A message that stands out, with what can be done about it. */
export function notice(title: string, text: string, ...actions: readonly Child[]): HTMLElement {
  const bar = actions.some(isThere) && el('p', { className: 'actions' }, ...actions)
  return el('section', { className: 'notice', role: 'alert' }, el('h2', {}, title), el('p', {}, text), bar)
}

/** `1 item`, `1,204 items`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

/** `Mercy, Lakeside and Valley`. */
export function listOf(names: readonly string[]): string {
  return new Intl.ListFormat('en-US', { type: 'conjunction' }).format(names)
}

export function dateOf(date: Date | string): string {
  return new Date(date).toLocaleString('en-US', { dateStyle: 'long', timeStyle: 'short' })
}

function isThere(child: Child): child is Node | string | number {
  return child !== undefined && child !== null && child !== false
}
