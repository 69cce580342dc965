/** What ends a command that somebody stops, such as by Ctrl-C. */
export interface Stop {
  readonly signal: AbortSignal
  /** The command is over: from here on a stop ends the process. */
  forget(): void
}

/** Listens for a stop; whoever stops a command is told `sentence` in place of a stack. */
export function openStop(sentence: string): Stop {
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error(sentence))
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stop)
  return Object.freeze({
    signal: controller.signal,
    forget: () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop)
    },
  })
}
