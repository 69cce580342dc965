#!/usr/bin/env node
import { run } from './run.js'

// Whoever reads no further, such as `head`, ends the output and nothing else.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = await run(process.argv.slice(2))
