# syntax=docker/dockerfile:1

FROM node:26.10.0-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY generated generated
COPY src src
RUN npm run build

FROM node:26.10.0-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:26.10.0-trixie-slim
ENV NODE_ENV=production \
    KEYTURN_HOST=0.0.0.0 \
    KEYTURN_PORT=8080 \
    KEYTURN_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
COPY generated generated
COPY deploy/health-check.mjs deploy/
RUN install -d -o node -g node -m 0700 /data
USER node
VOLUME /data
EXPOSE 8080
# Runs also while the event store is waited for: an orchestrator should not restart what only waits.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "deploy/health-check.mjs"]
# Sizing in docs/operations.md tells what the options are for.
ENTRYPOINT ["node", "--max-semi-space-size=16", "--no-parallel-scavenge", "dist/cli/main.js"]
CMD ["serve"]
