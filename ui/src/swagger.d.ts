declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  interface Options {
    url: string;
    domNode: HTMLElement;
    deepLinking: boolean;
    defaultModelsExpandDepth: number;
    docExpansion: 'list' | 'full' | 'none';
    tryItOutEnabled: boolean;
    validatorUrl: null;
  }
  export default function SwaggerUI(options: Options): unknown;
}
