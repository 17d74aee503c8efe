// The API reference: Swagger UI over /openapi.json. It is large, so it lives on a page of its own.

import 'swagger-ui-dist/swagger-ui.css';
import './reference.css';
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';

// Swagger UI has a dark form behind a class; it does not ask the browser itself.
const dark = matchMedia('(prefers-color-scheme: dark)');
const shade = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', shade);
shade();

SwaggerUI({
  url: '/openapi.json',
  domNode: document.getElementById('reference')!,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: 'list',
  tryItOutEnabled: false,
  validatorUrl: null, // the default asks a public server
});
