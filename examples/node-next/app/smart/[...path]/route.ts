import { toNextRoute } from '@s4s/node'
import { smart } from '../../../smart.js'

// Node, not the edge: what was collected stays in the memory of the process.
export const runtime = 'nodejs'
export const dynamic = 'force-dynamic'

export const { GET, POST, DELETE } = toNextRoute(smart)
