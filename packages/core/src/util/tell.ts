/** Calls a listener of the app. What it throws, or rejects with, is its own affair and stops nothing. */
export function tell<T>(listener: ((news: T) => void) | undefined, news: T): void {
  if (!listener) return
  try {
    const returned: unknown = listener(news)
    if (returned instanceof Promise) returned.catch(() => {})
  } catch {
    // A progress bar that breaks must not cost the participant their record.
  }
}
