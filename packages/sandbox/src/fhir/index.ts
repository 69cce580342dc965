export type { ExportBehavior } from './bulk-export.js'
export { createRepository, type Repository } from './repository.js'
export type { Resource, Stored } from './resource.js'
export { type Access, createFhirServer, type FhirServerOptions } from './server.js'
