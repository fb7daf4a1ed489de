/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs
 *
 * A job is one program that the host wants run, with pipes for its input and
 * output and a pidfd for its end.
 *
 * The one rule: nothing here waits for a job. A program may sit in an
 * uninterruptible sleep for the rest of the guest's life, because that is what
 * the tests provoke; the agent then still serves all other jobs. Hence no
 * wait(2) but on a pidfd which has fired, and no write to a pipe that could
 * block.
 *
 * A job ends with its first process. What its background children write after
 * that is lost: the pipes are closed.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "job.h"
#include "source.h"
#include "spawn.h"

/* Above this much unsent output no more is read from the programs. */
#define JOBS_QUEUE_MAX (256U << 10)

struct Job {
        Job *next;
        uint32_t id;
        pid_t pid;
        uint64_t start_usec;
        Source sources[_SOURCE_MAX];
        Buffer input;
        bool input_ended;
};

struct Jobs {
        Port *port;
        int epoll_fd;
        Job *first;
};

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void job_free(Jobs *jobs, Job *job) {
        for (size_t i = 0; i < _SOURCE_MAX; ++i)
                source_close(&job->sources[i], jobs->epoll_fd);
        buffer_deinit(&job->input);
        free(job);
}

/**
 * jobs_new() - make an empty set of jobs
 * @port:       where frames are sent to, not owned
 * @epoll_fd:   where file descriptors are watched, not owned
 * @ret_jobs:   the new object
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_new(Port *port, int epoll_fd, Jobs **ret_jobs) {
        Jobs *jobs;

        jobs = malloc(sizeof(*jobs));
        if (!jobs)
                return -ENOMEM;

        *jobs = (Jobs){ .port = port, .epoll_fd = epoll_fd };

        *ret_jobs = jobs;
        return 0;
}

Jobs *jobs_free(Jobs *jobs) {
        Job *job;

        if (!jobs)
                return NULL;

        while ((job = jobs->first)) {
                jobs->first = job->next;
                job_free(jobs, job);
        }
        free(jobs);
        return NULL;
}

static Job *jobs_find(Jobs *jobs, uint32_t id) {
        for (Job *job = jobs->first; job; job = job->next)
                if (job->id == id)
                        return job;
        return NULL;
}

static void jobs_remove(Jobs *jobs, Job *job) {
        Job **link = &jobs->first;

        while (*link != job)
                link = &(*link)->next;
        *link = job->next;
        job_free(jobs, job);
}

static int job_start(Jobs *jobs, Job *job, const char *argv, size_t size) {
        Spawned child;
        int r;

        r = spawn(argv, size, &child);
        if (r < 0)
                return r;

        job->pid = child.pid;
        job->sources[SOURCE_IN].fd = child.stdin_fd;
        job->sources[SOURCE_OUT].fd = child.stdout_fd;
        job->sources[SOURCE_ERR].fd = child.stderr_fd;
        job->sources[SOURCE_END].fd = child.pid_fd;

        /* Its input is watched only while there is something to write. */
        for (SourceKind kind = SOURCE_OUT; kind <= SOURCE_END; ++kind) {
                r = source_watch(&job->sources[kind], jobs->epoll_fd, true);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int jobs_run(Jobs *jobs, uint32_t id, const uint8_t *argv, size_t size) {
        uint32_t pid;
        Job *job;
        int r;

        if (jobs_find(jobs, id))
                return -EPROTO;

        job = malloc(sizeof(*job));
        if (!job)
                return -ENOMEM;

        *job = (Job){ .id = id, .start_usec = now_usec() };
        for (SourceKind kind = 0; kind < _SOURCE_MAX; ++kind)
                job->sources[kind] = (Source){ .job = job, .kind = kind, .fd = -1 };

        r = job_start(jobs, job, (const char *) argv, size);
        if (r < 0) {
                job_free(jobs, job);
                return r;
        }

        job->next = jobs->first;
        jobs->first = job;
        pid = job->pid;
        return port_send(jobs->port, FRAME_STARTED, id, &pid, sizeof(pid));
}

/* Hand input to the program. One that has closed its end gets nothing, but takes it all. */
static int job_write(Jobs *jobs, Job *job) {
        Source *source = &job->sources[SOURCE_IN];
        Buffer *input = &job->input;
        uint32_t took = 0;
        ssize_t n;
        int r;

        while (buffer_get_size(input) > 0) {
                n = -1;
                errno = EPIPE;
                if (source->fd >= 0)
                        n = write(source->fd, buffer_get_data(input), buffer_get_size(input));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        n = buffer_get_size(input);
                        source_close(source, jobs->epoll_fd);
                }
                buffer_consume(input, n);
                took += n;
        }

        if (job->input_ended && buffer_get_size(input) == 0)
                source_close(source, jobs->epoll_fd);

        r = source_watch(source, jobs->epoll_fd, buffer_get_size(input) > 0);
        if (r < 0)
                return r;

        return took > 0 ? port_send(jobs->port, FRAME_TOOK, job->id, &took, sizeof(took)) : 0;
}

/* Forward what one pipe holds now. Sets *ret_more if it may hold more. */
static int job_read(Jobs *jobs, Job *job, Source *source, bool *ret_more) {
        uint32_t type = source->kind == SOURCE_OUT ? FRAME_OUT : FRAME_ERR;
        uint8_t data[32U << 10];
        ssize_t n;

        *ret_more = false;
        if (source->fd < 0)
                return 0;

        n = read(source->fd, data, sizeof(data));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                source_close(source, jobs->epoll_fd);
                return 0;
        }

        *ret_more = true;
        return port_send(jobs->port, type, job->id, data, n);
}

static int job_end(Jobs *jobs, Job *job) {
        FrameExit frame = { .start_usec = job->start_usec };
        siginfo_t info = {};
        bool more;
        int r;

        if (waitid(P_PIDFD, job->sources[SOURCE_END].fd, &info, WEXITED) < 0)
                return -errno;

        frame.end_usec = now_usec();
        frame.code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;

        /* A pipe holds a bounded amount, so this ends, paused or not. */
        for (SourceKind kind = SOURCE_OUT; kind <= SOURCE_ERR; ++kind) {
                do {
                        r = job_read(jobs, job, &job->sources[kind], &more);
                        if (r < 0)
                                return r;
                } while (more && port_get_queued(jobs->port) < CHANNEL_FRAME_MAX);
        }

        r = port_send(jobs->port, FRAME_EXIT, job->id, &frame, sizeof(frame));
        jobs_remove(jobs, job);
        return r;
}

/**
 * jobs_handle_event() - something happened to a file descriptor of a job
 * @jobs:       all jobs
 * @userdata:   what epoll returned in data.ptr
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_handle_event(Jobs *jobs, void *userdata) {
        Source *source = userdata;
        bool more;

        switch (source->kind) {
        case SOURCE_IN:
                return job_write(jobs, source->job);
        case SOURCE_END:
                return job_end(jobs, source->job);
        default:
                if (port_get_queued(jobs->port) < JOBS_QUEUE_MAX)
                        return job_read(jobs, source->job, source, &more);
                return source_watch(source, jobs->epoll_fd, false);
        }
}

/**
 * jobs_resume() - listen again to output that was paused, if the host keeps up
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_resume(Jobs *jobs) {
        int r;

        if (port_get_queued(jobs->port) >= JOBS_QUEUE_MAX)
                return 0;

        for (Job *job = jobs->first; job; job = job->next) {
                for (SourceKind kind = SOURCE_OUT; kind <= SOURCE_ERR; ++kind) {
                        r = source_watch(&job->sources[kind], jobs->epoll_fd, true);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int jobs_signal(Jobs *jobs, uint32_t id, const uint8_t *payload, size_t size) {
        uint32_t signo;
        Job *job;

        if (size != sizeof(signo))
                return -EPROTO;

        memcpy(&signo, payload, size);
        job = jobs_find(jobs, id);
        /* It may have ended just now, or not yet have become the leader of a group. */
        if (job && kill(-job->pid, signo) < 0 && errno == ESRCH)
                (void) kill(job->pid, signo);
        return 0;
}

static int jobs_input(Jobs *jobs, uint32_t id, const uint8_t *payload, size_t size) {
        Job *job;
        int r;

        job = jobs_find(jobs, id);
        if (!job)
                return 0; /* it has ended, and the host will learn so */

        if (size == 0)
                job->input_ended = true;

        r = buffer_append(&job->input, payload, size);
        if (r < 0)
                return r;

        return job_write(jobs, job);
}

/**
 * jobs_handle_frame() - the host wants something
 *
 * Return: 0 on success, negative error code on failure.
 */
int jobs_handle_frame(Jobs *jobs, const FrameHeader *header, const uint8_t *payload) {
        switch (header->type) {
        case FRAME_HELLO:
                return port_send(jobs->port, FRAME_HELLO, header->job, payload, header->size);
        case FRAME_RUN:
                return jobs_run(jobs, header->job, payload, header->size);
        case FRAME_INPUT:
                return jobs_input(jobs, header->job, payload, header->size);
        case FRAME_SIGNAL:
                return jobs_signal(jobs, header->job, payload, header->size);
        default:
                return -EPROTO;
        }
}
