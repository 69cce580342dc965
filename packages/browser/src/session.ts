/** One value in this tab's session storage: it outlives a reload and a redirect, not the tab. */
export interface SessionItem {
  read(): string | undefined
  /** False when the browser does not let us keep it. */
  write(value: string): boolean
  remove(): void
  /** True when a value would be kept. */
  works(): boolean
}

/**
 * Names a value in session storage. No token is ever written there: only what must survive a redirect or a
 * reload, and is worthless once the launch that it belongs to is over.
 */
export function sessionItem(name: string): SessionItem {
  // The very access throws where storage is blocked, so each goes through here.
  const attempt = <T>(work: (storage: Storage) => T): T | undefined => {
    try {
      const storage = globalThis.sessionStorage
      return storage ? work(storage) : undefined
    } catch {
      return undefined
    }
  }
  const write = (value: string): boolean =>
    attempt((storage) => {
      storage.setItem(name, value)
      return true
    }) ?? false
  const remove = (): void => void attempt((storage) => storage.removeItem(name))
  return Object.freeze({
    read: () => attempt((storage) => storage.getItem(name)) ?? undefined,
    write,
    remove,
    works: () => {
      const kept = write('1')
      remove()
      return kept
    },
  } satisfies SessionItem)
}
